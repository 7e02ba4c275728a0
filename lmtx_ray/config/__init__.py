"""Settings: loading, and what each component takes. Light, so that plans start in milliseconds."""
