"""Maps of Velox, streams of events in EMD files."""
