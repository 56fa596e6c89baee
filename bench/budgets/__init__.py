"""What budgets cost, and whether they hold."""
