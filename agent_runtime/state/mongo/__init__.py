"""What is kept in MongoDB, one module per collection."""
