/**
 * A law that does not hold in a world.
 */
export class Violation extends Error {
  override readonly name = 'Violation'
  /** Which checker found it. */
  readonly checker: string

  constructor(checker: string, text: string) {
    super(`${checker}: ${text}`)
    this.checker = checker
  }
}
