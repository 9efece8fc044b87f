"""Lists as files: text, tables, JSON and XML, read strictly and told by line."""
