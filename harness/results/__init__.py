"""Run documents: the schema, the store, figures and statistics."""
