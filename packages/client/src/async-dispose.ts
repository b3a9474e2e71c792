/**
 * `Symbol.asyncDispose`, which is younger than some browsers, and its types, which are younger than some configurations.
 */
/// <reference lib="esnext.disposable" preserve="true" />
export const asyncDispose: typeof Symbol.asyncDispose = Symbol.asyncDispose ?? Symbol.for('Symbol.asyncDispose')
