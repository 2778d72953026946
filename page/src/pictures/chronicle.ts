// What the server tells of the whole log: times, workers, the best over time, and what happened.
export interface Chronicle {
  workers: string[];
  hidden: number;
  segments: {
    trial: number[];
    worker: number[];
    begin: (number | null)[];
    end: (number | null)[];
    from: number[];
    to: number[];
    how: string[];
  };
  best: { seconds: (number | null)[]; epochs: number[]; trial: number[]; value: (number | null)[] };
  burn: { seconds: (number | null)[]; epochs: number[] };
  feed: { number: number; time: number; kind: string; text: string; who?: string; trial?: number }[];
  cursor: number;
}
