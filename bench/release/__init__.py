"""What is shipped: its bill of materials, and the checks before a release."""
