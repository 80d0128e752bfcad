"""Methods that differentiate the explained output."""
