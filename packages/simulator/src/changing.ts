/**
 * An object as its maker sees it, whose facts change; others only read them.
 *
 * Plain properties and no getters: an object literal with getters costs fifty times as much to make, and what they lead to, the whole world,
 * stays in memory until all garbage is collected.
 */
export type Changing<T> = { -readonly [Name in keyof T]: T[Name] }
