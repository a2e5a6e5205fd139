"""The custom resources as typed models, and the CRDs generated from them."""
