/** Server-sent events, read as they arrive: bytes in, however they are cut, and the events' data out. */

const LINE_END = /\r\n|\n|\r/;

/** One event is larger than the limit. */
export class EventTooLargeError extends Error {}

/** Reads a stream of events piece by piece. A piece may end anywhere, inside a character too. */
export class EventReader {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false });
  readonly #limit: number;
  /** What came since the last line end, in pieces: a long line is put together once, at its end. */
  #line: string[] = [];
  #data: string[] = [];
  #size = 0;
  #endsWithReturn = false;

  /** `limit`: the most characters that an event may have. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The data of the events that are complete with this piece. Throws EventTooLargeError, TypeError for bad UTF-8. */
  feed(piece: Uint8Array): string[] {
    const decoded = this.#decoder.decode(piece, { stream: true });
    const text = this.#endsWithReturn && decoded.startsWith("\n") ? decoded.slice(1) : decoded;
    if (decoded !== "") this.#endsWithReturn = decoded.endsWith("\r");
    const [first, ...lines] = text.split(LINE_END);
    const events: string[] = [];
    this.#append(first!);
    for (const line of lines) {
      this.#end(events);
      this.#append(line);
    }
    if (this.#size > this.#limit) throw new EventTooLargeError();
    return events;
  }

  #append(text: string): void {
    if (text === "") return;
    this.#line.push(text);
    this.#size += text.length;
  }

  /** A line has ended; an empty one ends its event. */
  #end(events: string[]): void {
    const line = this.#line.join("");
    this.#line = [];
    if (line === "") {
      if (this.#data.length > 0) events.push(this.#data.join("\n"));
      this.#data = [];
      this.#size = 0;
    } else if (line.split(":", 1)[0] === "data") {
      this.#data.push(line.slice("data:".length).replace(/^ /, ""));
    }
  }
}
