/** `@tidemark/reconciliation/layers`: a storage made of storages. */
export {}
