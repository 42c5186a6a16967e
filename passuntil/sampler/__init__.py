"""What draws completions. Import an adapter from its own module: engines are heavy."""
