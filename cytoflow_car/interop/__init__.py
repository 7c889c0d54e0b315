"""Records of other programs to ours and back; each of these programs is an extra of its own."""
