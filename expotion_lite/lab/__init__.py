"""Programs that made and measured nano. No lesson and no command for users imports this package."""
