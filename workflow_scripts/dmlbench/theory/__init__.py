"""What the losses do to free embeddings under label noise (EPS section 4)."""
