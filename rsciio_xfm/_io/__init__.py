"""What the formats share; they import this, never one another."""
