"""How nano was made and measured. No lesson and no command for users imports this package."""
