"""What models in scikit-learn's manner share; see `ktt_models.sklearn.model`."""
