/**
 * A picture of a value: a text that is the same for two values that behave the same, also where they refer to themselves.
 *
 * Maps and sets keep their order, which decides what an engine does first. Functions are taken for what they are attached to, not for what
 * they enclose: an engine of which nothing is asked keeps none but deadlines, and time stands still here. Of tickets only their order counts.
 */

/** What an engine does not decide by while time stands still. */
const LEFT_OUT = new Set(['deadlines', 'effects', 'options', 'limits', 'now'])

/** Where an engine keeps tickets: numbers that it counts up, and only compares. 0 is none. */
const TICKETS = new Set(['tickets', 'ticket', 'looking', 'order', 'until'])

export function pictureOf(value: unknown): string {
  const numbers = new Map<object, number>()
  const tickets: { readonly at: number; readonly ticket: number }[] = []
  const parts: string[] = []
  let picture = ''

  function add(one: unknown): void {
    if (typeof one === 'function') picture += 'ƒ'
    else if (typeof one === 'string') picture += `"${one.length} ${one}`
    else if (typeof one !== 'object' || one === null) picture += `=${one} `
    else addObject(one)
  }

  function addObject(one: object): void {
    const number = numbers.get(one)
    if (number !== undefined) {
      picture += `#${number} `
      return
    }
    numbers.set(one, numbers.size)
    if (one instanceof Uint8Array) picture += `(${one.join()})`
    else if (one instanceof Map) {
      picture += '['
      for (const [key, each] of one) {
        add(key)
        add(each)
      }
      picture += ']'
    } else if (one instanceof Set || Array.isArray(one)) {
      picture += '['
      for (const each of one) add(each)
      picture += ']'
    } else {
      picture += '{'
      for (const name in one) {
        if (LEFT_OUT.has(name)) continue
        picture += `${name}:`
        const each = (one as Record<string, unknown>)[name]
        if (typeof each === 'number' && TICKETS.has(name)) addTicket(each)
        else add(each)
      }
      picture += '}'
    }
  }

  function addTicket(ticket: number): void {
    parts.push(picture)
    tickets.push({ at: parts.push('') - 1, ticket })
    picture = ''
  }

  add(value)
  const ranks = [...new Set([0, ...tickets.map(({ ticket }) => ticket)])].sort((a, b) => a - b)
  for (const { at, ticket } of tickets) parts[at] = `№${ranks.indexOf(ticket)} `
  return parts.join('') + picture
}
