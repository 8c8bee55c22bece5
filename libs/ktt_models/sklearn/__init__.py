"""Common base of models in scikit-learn's style; see `ktt_models.sklearn.model`."""
