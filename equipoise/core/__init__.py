"""What decides: pure, never waiting, told afterwards what happened."""
