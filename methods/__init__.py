"""Attribution methods: each is one class or function with `explain`, and stands in the room of its mechanism."""
