/** `@tidemark/reconciliation`: what to ask for on reconnect, and in which order. */
export {}
