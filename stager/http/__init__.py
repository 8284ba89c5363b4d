"""What every route shares: errors, the API's description, headers, limits, pages, the request log."""
