/// What masks are compared with, pixel by pixel, on a square canvas.
public struct MaskCanvas: Sendable {
    /// m, for the same instances as the prediction.
    public var target: MaskTarget
    /// S, a multiple of 16.
    public var side: Int
    /// The rows and columns that count, from the top left; nil for the whole square. The rest is the padding of an image.
    public var area: Area?
    /// c and theta, for the same instances; nil weights all pixels equally.
    public var weights: PixelWeights?
    /// alpha of the focal terms; nil for 1 everywhere.
    public var balance: FocalBalance?

    /// A part of a canvas.
    public struct Area: Sendable, Equatable {
        /// Rows.
        public let height: Int
        /// Columns.
        public let width: Int

        /// Creates an area.
        public init(height: Int, width: Int) { (self.height, self.width) = (height, width) }

        /// Its pixels.
        public var pixels: Int { height * width }
    }

    /// The weight of a pixel's focal term by its target (Lin et al. 2017, alpha_t).
    public struct FocalBalance: Sendable, Equatable {
        /// alpha where m = 1.
        public let inside: Float
        /// alpha where m = 0.
        public let outside: Float

        /// Creates a balance.
        public init(inside: Float, outside: Float) { (self.inside, self.outside) = (inside, outside) }
    }

    /// Creates a canvas.
    public init(
        _ target: MaskTarget, side: Int, area: Area? = nil, weights: PixelWeights? = nil, balance: FocalBalance? = nil
    ) {
        precondition(
            area.map { (1...side).contains($0.height) && (1...side).contains($0.width) } ?? true,
            "an area of \(area.map { "\($0.height)x\($0.width)" } ?? "") on a canvas of \(side)")
        (self.target, self.side, self.area) = (target, side, area)
        (self.weights, self.balance) = (weights, balance)
    }

    /// Rows that count.
    var rows: Int { area?.height ?? side }
    /// Pixels that count, of one instance.
    public var pixels: Int { area?.pixels ?? side * side }
}
