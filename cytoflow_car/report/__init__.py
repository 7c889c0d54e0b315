"""What people look at: pictures of gates."""
