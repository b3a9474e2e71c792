/**
 * What a checker keeps by a key, made when it is first asked for.
 *
 * Several keys are a map of maps: a joined key would be made anew for every message.
 */
export function kept<Key, Value>(all: Map<Key, Value>, key: Key, make: () => Value): Value {
  const present = all.get(key)
  if (present !== undefined) return present
  const made = make()
  all.set(key, made)
  return made
}
