"""The worker before Heat: stacks of a template."""
