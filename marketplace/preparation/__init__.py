"""What has to be true before processes start: schema, superuser, model, static files. Each step is safe to repeat."""
