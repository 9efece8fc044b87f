"""Finding: arrays in, arrays out; every index returns what a linear scan returns.

    linear    the plain lines that say what is meant; the tests hold the others to them
    exact     equal digests                            (`DigestIndex`)
    hamming   codes of 256 bits within a distance      (`HammingIndex`)
    distance  vectors of 144 bytes within a distance   (`DistanceIndex`)
    nearest   the k most similar rows of embeddings    (`nearest`)

Import the module that is needed; nothing is loaded here, so that a command that only prints help stays quick.
"""
