// Elementary functions on vectors of 16 floats.
//
// exp x  = 2^n 2^f,  n = round(x log2 e),  f in [-1/2, 1/2]; 2^f by a polynomial of degree 6, relative error 2e-9 + rounding.
// log x  = e ln 2 + log m,  m in [sqrt 1/2, sqrt 2];  log(1+f) = f - f^2/2 + f^3 P(f), P of degree 7, relative error 6e-9 + rounding.
// erf x  = x P(x^2) / Q(x^2) on [-3.9, 3.9], degrees 5 and 5, absolute error 1.5e-8 + rounding; +-1 outside to 4e-8.
// The polynomials were fitted for these intervals (weighted least squares, weights raised where the error is largest).
//
// Rounding to an integer is done by adding and subtracting 1.5 * 2^23: the library calls are not vectorised.

/// The width all kernels are written for: two AVX2 registers or one of AVX-512.
typealias Vector = SIMD16<Float>

extension SIMD16 where Scalar == Float {
    /// Reads 16 floats from any address.
    @inline(__always) init(loading pointer: UnsafePointer<Float>) {
        self = UnsafeRawPointer(pointer).loadUnaligned(as: Self.self)
    }

    /// Reads 16 floats from any address.
    @inline(__always) init(loading pointer: UnsafeMutablePointer<Float>) {
        self = UnsafeRawPointer(pointer).loadUnaligned(as: Self.self)
    }

    /// Reads the first `count` floats (up to 16); the other lanes are zero.
    @inline(__always) init(loading pointer: UnsafePointer<Float>, count: Int) {
        if count == 16 {
            self = UnsafeRawPointer(pointer).loadUnaligned(as: Self.self)
            return
        }
        self = Self(repeating: 0)
        for lane in 0..<count { self[lane] = pointer[lane] }
    }

    /// Writes 16 floats to any address.
    @inline(__always) func store(_ pointer: UnsafeMutablePointer<Float>) {
        UnsafeMutableRawPointer(pointer).storeBytes(of: self, as: Self.self)
    }

    /// Writes the first `count` lanes (up to 16).
    @inline(__always) func store(_ pointer: UnsafeMutablePointer<Float>, count: Int) {
        if count == 16 {
            store(pointer)
            return
        }
        for lane in 0..<count { pointer[lane] = self[lane] }
    }

    /// self += a * b in one rounding.
    @inline(__always) mutating func addProduct(_ a: Self, _ b: Self) { self = addingProduct(a, b) }

    /// The larger of two vectors, lane by lane.
    @inline(__always) func maximum(_ other: Self) -> Self { replacing(with: other, where: other .> self) }

    /// The smaller of two vectors, lane by lane.
    @inline(__always) func minimum(_ other: Self) -> Self { replacing(with: other, where: other .< self) }

    /// self * b + c in one rounding.
    @inline(__always) func times(_ b: Self, plus c: Self) -> Self { c.addingProduct(self, b) }
    /// self * b + c in one rounding, with the same c in every lane.
    @inline(__always) func times(_ b: Self, plus c: Float) -> Self { Self(repeating: c).addingProduct(self, b) }
}

enum VectorMath {
    private static let roundingShift: Float = 12_582_912  // 1.5 * 2^23

    /// e^x; 0 below -87.3; x is clamped at 88, so infinity is not reached.
    @inline(__always) static func exp(_ x: Vector) -> Vector {
        let held = x.maximum(Vector(repeating: -87.3)).minimum(Vector(repeating: 88))
        let shifted = (held * 1.442_695_04) + roundingShift
        let n = shifted - roundingShift
        // f = x log2 e - n in two parts: log2 e = 1.4426950216 + 1.9259629e-8.
        let f = (-n).addingProduct(held, Vector(repeating: 1.442_695_02)).addingProduct(
            held, Vector(repeating: 1.925_962_9e-8))
        var p = Vector(repeating: 0.000_153_458_11)
        p = p.times(f, plus: 0.001_339_993_21)
        p = p.times(f, plus: 0.009_618_489_07)
        p = p.times(f, plus: 0.055_503_286_4)
        p = p.times(f, plus: 0.240_226_462)
        p = p.times(f, plus: 0.693_147_182)
        p = p.times(f, plus: 1)
        let exponent = (unsafeBitCast(shifted, to: SIMD16<Int32>.self) &+ 127) &<< 23
        let scaled = p * unsafeBitCast(exponent, to: Vector.self)
        return scaled.replacing(with: 0, where: x .< -87.3)
    }

    /// The natural logarithm of positive, normal x.
    @inline(__always) static func log(_ x: Vector) -> Vector {
        let bits = unsafeBitCast(x, to: SIMD16<Int32>.self)
        // 0x3f3504f3 is sqrt(1/2): subtracting it first puts m into [sqrt 1/2, sqrt 2).
        let offset = bits &- 0x3f35_04f3
        let exponent = offset &>> 23
        let m = unsafeBitCast((offset & 0x007f_ffff) &+ 0x3f35_04f3, to: Vector.self)
        // Int32 to Float without a conversion call: exponents are small, so the rounding constant works here too.
        let e = unsafeBitCast(exponent &+ 0x4b40_0000, to: Vector.self) - roundingShift
        let f = m - 1
        var p = Vector(repeating: -0.076_344_862_6)
        p = p.times(f, plus: 0.127_615_869)
        p = p.times(f, plus: -0.131_601_915)
        p = p.times(f, plus: 0.142_017_573)
        p = p.times(f, plus: -0.166_233_569)
        p = p.times(f, plus: 0.200_012_267)
        p = p.times(f, plus: -0.250_008_225)
        p = p.times(f, plus: 0.333_333_313)
        let square = f * f
        let tail = (square * f).times(p, plus: square * -0.5)
        return (tail + f).addingProduct(e, Vector(repeating: 0.693_147_182))
    }

    /// The error function.
    @inline(__always) static func erf(_ x: Vector) -> Vector {
        let t = x.maximum(Vector(repeating: -3.9)).minimum(Vector(repeating: 3.9))
        let u = t * t
        var p = Vector(repeating: 2.050_386_91e-6)
        p = p.times(u, plus: 0.000_287_456_758)
        p = p.times(u, plus: 0.003_836_862_74)
        p = p.times(u, plus: 0.052_966_877_8)
        p = p.times(u, plus: 0.191_940_71)
        p = p.times(u, plus: 1.128_378_99)
        var q = Vector(repeating: 3.823_071_17e-5)
        q = q.times(u, plus: 0.001_181_730_77)
        q = q.times(u, plus: 0.015_109_178_6)
        q = q.times(u, plus: 0.114_758_082)
        q = q.times(u, plus: 0.503_434_837)
        q = q.times(u, plus: 1)
        return t * p / q
    }
}

/// Runs `body` over `count` floats in whole vectors, the last one padded in registers.
@inline(__always)
func mapVectors(
    _ source: UnsafePointer<Float>, _ destination: UnsafeMutablePointer<Float>, count: Int, _ body: (Vector) -> Vector
) {
    let width = Vector.scalarCount
    var i = 0
    while i + width <= count {
        body(Vector(loading: source + i)).store(destination + i)
        i += width
    }
    if i < count { body(Vector(loading: source + i, count: count - i)).store(destination + i, count: count - i) }
}
