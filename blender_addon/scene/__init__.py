"""What the scene holds: cameras, photos, the target, the subject, the pictures that were made."""
