"""Metrics of circuits: does the model reduced to the edges that an explanation keeps do what the whole model does?"""
