"""Where a model looks: Grad-CAM, overlays and contact sheets."""
