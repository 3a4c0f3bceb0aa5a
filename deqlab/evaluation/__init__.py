"""Judgement: every method under the same conditions."""
