raise RuntimeError("gunicorn has read the settings of the source")
