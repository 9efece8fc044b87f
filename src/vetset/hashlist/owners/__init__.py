"""What single owners give: their formats, and their services as sources of a sync."""
