"""The steps that every flow is made of."""
