/// Convolutions straight from their definition, in Double, channel-last, with PyTorch's weight layouts.
public enum ConvolutionReference {
    /// A map [height, width, channels] of Double.
    public struct Map: Sendable {
        /// The extents.
        public let height, width, channels: Int
        /// The elements, channel fastest.
        public var elements: [Double]

        /// A map from its elements; zeros if none are given.
        public init(_ height: Int, _ width: Int, _ channels: Int, _ elements: [Double]? = nil) {
            (self.height, self.width, self.channels) = (height, width, channels)
            self.elements = elements ?? Array(repeating: 0, count: height * width * channels)
            precondition(self.elements.count == height * width * channels, "elements do not fill the map")
        }

        /// One element; zero outside the map.
        subscript(y: Int, x: Int, c: Int) -> Double {
            y >= 0 && y < height && x >= 0 && x < width ? elements[(y * width + x) * channels + c] : 0
        }
    }

    /// y[i, j, o] = b[o] + sum W[o, c, ky, kx] x[s i + ky - p, s j + kx - p, group(o) + c].
    ///
    /// - Parameters:
    ///   - weight: [outputs, channels / groups, kernel, kernel], flattened.
    ///   - bias: [outputs], or empty for none.
    public static func forward(
        _ x: Map, weight: [Double], bias: [Double], outputs: Int, kernel: Int, stride: Int, padding: Int,
        groups: Int = 1
    ) -> Map {
        let depth = x.channels / groups
        var y = Map(
            (x.height + 2 * padding - kernel) / stride + 1, (x.width + 2 * padding - kernel) / stride + 1, outputs)
        var position = 0
        for i in 0..<y.height {
            for j in 0..<y.width {
                for o in 0..<outputs {
                    let firstChannel = o / (outputs / groups) * depth
                    var sum = bias.isEmpty ? 0 : bias[o]
                    for c in 0..<depth {
                        for ky in 0..<kernel {
                            for kx in 0..<kernel {
                                sum +=
                                    weight[((o * depth + c) * kernel + ky) * kernel + kx]
                                    * x[i * stride + ky - padding, j * stride + kx - padding, firstChannel + c]
                            }
                        }
                    }
                    y.elements[position] = sum
                    position += 1
                }
            }
        }
        return y
    }
}
