"""All cases by name. A new case is one entry of one of these modules."""
from cases import interpreters, languages, limits, loading, media, processes, programming, servers, tools

CASES = {}
for module in (interpreters, languages, servers, programming, tools, media, processes, loading, limits):
    assert not CASES.keys() & module.CASES.keys(), "two cases of one name"
    CASES |= module.CASES
