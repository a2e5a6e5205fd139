"""mongodump's archive format, read incrementally: common/archive/spec.md of mongodb/mongo-tools."""
