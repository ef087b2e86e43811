/// Splits the time of a step among its activities.
struct Stopwatch {
    var compute = 0.0
    var wait = 0.0
    var peers = 0.0
    var communication = 0.0
    private var last = ContinuousClock.now

    /// Adds the time since the last lap to an account.
    mutating func lap(_ account: WritableKeyPath<Stopwatch, Double>) {
        let now = ContinuousClock.now
        self[keyPath: account] +=
            Double((now - last).components.attoseconds) * 1e-18 + Double((now - last).components.seconds)
        last = now
    }
}
