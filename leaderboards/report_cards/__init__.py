"""Report cards of metrics: what each can tell apart, whether it ranks as the truth does, and how far others agree with it."""
