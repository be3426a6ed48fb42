"""How well a system does: tasks made of clean sources, scores, and a loop over tracks."""
