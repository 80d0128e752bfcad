"""Methods that search for paths of nodes with much influence."""
