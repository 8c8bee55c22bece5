"""What turns the contracts in ``proto/`` into code and documentation, and checks them."""
