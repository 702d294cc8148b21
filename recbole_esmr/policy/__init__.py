"""Feed policies: who decides what is shown. They see what a platform sees, and never import the worlds that judge them."""
