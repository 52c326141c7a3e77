"""What embedders test with: contract suites, fakes, and hypothesis strategies.

Import the modules by name; `strategies` needs hypothesis, the contract suites need pytest.
"""
